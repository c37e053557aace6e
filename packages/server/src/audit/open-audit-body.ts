import { isUtf8 } from 'node:buffer'
import { createHmac } from 'node:crypto'
import type { AuditBody, AuditEvent } from '@alter-vault/contracts'
import type { Keyring } from '../crypto/keyring.ts'
import type { BodySide, SealedBody } from './body-frames.ts'
import { STORED_BODY_MAX_BYTES } from './stored-text.ts'

const SALT_BYTES = 32

type Described = { digest: string; length: number; truncated: boolean; content_type: string | null }

/** Opens one captured side of a row: 32 bytes of salt, then what was kept. Null when nothing was kept of it. */
export async function openAuditBody(
  keyring: Pick<Keyring, 'openFor'>,
  appId: string,
  event: Pick<AuditEvent, 'event_id' | 'detail'>,
  side: BodySide,
  frames: readonly SealedBody[],
): Promise<AuditBody | null> {
  const sealed = frames.find((frame) => frame.eventId === event.event_id && frame.side === side)
  if (sealed === undefined) return null
  const described = (event.detail?.[`${side}_body`] ?? null) as Described | null
  const place = { table: 'audit_bodies', column: 'frames', rowId: `${event.event_id}:${side}` }
  const opened = await keyring.openFor(appId, place, sealed.frame)
  try {
    const kept = opened.subarray(SALT_BYTES)
    const digest = createHmac('sha256', opened.subarray(0, SALT_BYTES)).update(kept).digest('hex')
    const isText = isUtf8(kept)
    return {
      content_type: described?.content_type ?? null,
      length: described?.length ?? kept.length,
      truncated: described?.truncated ?? kept.length >= STORED_BODY_MAX_BYTES,
      digest: described?.digest ?? digest,
      matches: described === null ? null : digest === described.digest,
      text: isText ? kept.toString('utf8') : null,
      base64: isText ? null : kept.toString('base64'),
    }
  } finally {
    opened.fill(0)
  }
}
