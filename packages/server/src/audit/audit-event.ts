import type { AuditEvent } from '@alter-vault/contracts'
import type { FoundEvent } from './event-store.ts'

/** A stored row as the API shows it. */
export function toAuditEvent({ keep, detail, detailHash }: FoundEvent): AuditEvent {
  return {
    ...(JSON.parse(keep) as Omit<AuditEvent, 'detail' | 'detail_h'>),
    detail: detail === null ? null : (JSON.parse(detail) as Record<string, unknown>),
    detail_h: detailHash,
  }
}
