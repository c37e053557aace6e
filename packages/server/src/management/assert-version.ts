import { VaultError } from '../kernel/vault-error.ts'

/** Refusal: `version_conflict` with the version that stands. */
export function assertVersion(current: number, expected: number): void {
  if (current === expected) return
  throw new VaultError('version_conflict', {
    message: `You changed version ${expected}, but version ${current} stands. Read it again and decide anew.`,
    fields: { current_version: current },
  })
}
