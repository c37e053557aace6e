import { isUtf8 } from 'node:buffer'
import { createHmac } from 'node:crypto'
import type { AuditBody, AuditEvent } from '@alter-vault/contracts'
import type { BodySide, KeptBody } from './body-frames.ts'
import { STORED_BODY_MAX_BYTES } from './stored-text.ts'

const SALT_BYTES = 32

type Described = { digest: string; length: number; truncated: boolean; content_type: string | null }

/** One captured side of a row out of the opened bodies of its batch. Null when nothing was kept of it. */
export function readAuditBody(
  event: Pick<AuditEvent, 'event_id' | 'detail'>,
  side: BodySide,
  bodies: readonly KeptBody[],
): AuditBody | null {
  const content = bodies.find((body) => body.eventId === event.event_id && body.side === side)?.content
  if (content === undefined) return null
  const described = (event.detail?.[`${side}_body`] ?? null) as Described | null
  const kept = content.subarray(SALT_BYTES)
  const digest = createHmac('sha256', content.subarray(0, SALT_BYTES)).update(kept).digest('hex')
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
}
