import { createSecretKey, randomBytes } from 'node:crypto'
import { open, seal } from '../crypto/envelope.ts'
import type { Keyring } from '../crypto/keyring.ts'
import { newId } from '../kernel/ids.ts'

/** Seals and opens with one data key that it keeps in memory. */
export function createTestKeyring(): Pick<Keyring, 'sealFor' | 'openFor'> {
  const dataKey = { id: newId(), key: createSecretKey(randomBytes(32)) }
  return {
    sealFor: async (appId, place, plaintext) => seal(dataKey, { appId, ...place }, plaintext),
    openFor: async (appId, place, frame) => open(dataKey, { appId, ...place }, frame),
  }
}
