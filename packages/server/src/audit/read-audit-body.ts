import { isUtf8 } from 'node:buffer'
import { createHmac } from 'node:crypto'
import type { AuditBody, AuditEvent } from '@alter-vault/contracts'
import type { BodyDigest } from './audit-row.ts'
import type { BodySide, KeptBody } from './body-frames.ts'
import { STORED_BODY_MAX_BYTES } from './stored-text.ts'

const SALT_BYTES = 32

/** One captured side of a row out of the opened bodies of its batch. Null when nothing was kept of it. */
export function readAuditBody(
  event: Pick<AuditEvent, 'event_id' | 'detail'>,
  side: BodySide,
  bodies: readonly KeptBody[],
): AuditBody | null {
  const content = bodies.find((body) => body.eventId === event.event_id && body.side === side)?.content
  if (content === undefined) return null
  const described = (event.detail?.[`${side}_body`] ?? null) as BodyDigest | null
  const salt = content.subarray(0, SALT_BYTES)
  const kept = content.subarray(SALT_BYTES)
  const isKept = kept.length > 0
  const digest = createHmac('sha256', salt).update(kept).digest('hex')
  const isText = isUtf8(kept)
  return {
    content_type: described?.content_type ?? null,
    length: described?.length ?? kept.length,
    truncated: described?.truncated ?? kept.length >= STORED_BODY_MAX_BYTES,
    salt: salt.toString('hex'),
    digest: described?.digest ?? (isKept ? digest : null),
    whole_digest: described === null ? null : (described.whole_digest ?? described.digest),
    matches: described === null || !isKept ? null : digest === described.digest,
    text: isKept && isText ? kept.toString('utf8') : null,
    base64: isText ? null : kept.toString('base64'),
  }
}
