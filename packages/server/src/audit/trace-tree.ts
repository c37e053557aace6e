import type { AuditEvent, AuditTraceRow } from '@alter-vault/contracts'

/**
 * The rows of a trace in the order of their tree. A row follows from the intent it names; else, if it is about an approval and not
 * its request, from the first row of that approval. Whatever follows from nothing here stands at the top. Input in order of time.
 */
export function traceTree(events: readonly AuditEvent[]): AuditTraceRow[] {
  const byId = new Map(events.map((event) => [event.event_id, event]))
  const requests = new Map<string, AuditEvent>()
  for (const event of events) {
    if (event.approval_id !== null && event.event === 'approval.requested') {
      if (!requests.has(event.approval_id)) requests.set(event.approval_id, event)
    }
  }
  const children = new Map<string | null, AuditEvent[]>()
  for (const event of events) {
    const parent = parentOf(event, byId, requests)
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [event])
    else siblings.push(event)
  }
  const rows: AuditTraceRow[] = []
  const place = (parent: string | null, depth: number): void => {
    for (const event of children.get(parent) ?? []) {
      rows.push({ ...event, parent_event_id: parent, depth })
      place(event.event_id, depth + 1)
    }
  }
  place(null, 0)
  return rows
}

function parentOf(
  event: AuditEvent,
  byId: ReadonlyMap<string, AuditEvent>,
  requests: ReadonlyMap<string, AuditEvent>,
): string | null {
  const intent = event.intent_id === null ? undefined : byId.get(event.intent_id)
  // An outcome stands behind its intent in time: what says otherwise would make a circle.
  if (intent !== undefined && isBefore(intent, event)) return intent.event_id
  const request = event.approval_id === null ? undefined : requests.get(event.approval_id)
  return request !== undefined && isBefore(request, event) ? request.event_id : null
}

const isBefore = (a: AuditEvent, b: AuditEvent): boolean =>
  a.event_id !== b.event_id &&
  (a.occurred_at < b.occurred_at || (a.occurred_at === b.occurred_at && a.event_id < b.event_id))
