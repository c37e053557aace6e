export type AuditStreamName = 'runtime' | 'grants' | 'portal' | 'provisioning' | 'approvals' | 'system'

/** One kind of audit row: where it belongs and what it says happened. */
export type AuditEventKind = { stream: AuditStreamName; sentence: string }

/** Every event that this server writes, by name. */
export const auditEvents = {
  'agent.created': { stream: 'portal', sentence: 'An agent was created.' },
  'agent.resumed': { stream: 'portal', sentence: 'A suspended agent may work again.' },
  'agent.revoked': { stream: 'portal', sentence: 'An agent was ended for good, with its keys and grants.' },
  'agent.suspended': { stream: 'portal', sentence: 'An agent was paused.' },
  'agent.updated': { stream: 'portal', sentence: "An agent's name, scopes, policy or metadata changed." },
  'app.archived': { stream: 'portal', sentence: 'An app was put to rest: its keys no longer work.' },
  'app.created': { stream: 'portal', sentence: 'An app was created.' },
  'app.deleted': { stream: 'portal', sentence: 'An app was deleted, with everything in it.' },
  'app.unarchived': { stream: 'portal', sentence: 'An archived app works again.' },
  'app.updated': { stream: 'portal', sentence: "An app's name, description or settings changed." },
  'approval.approved': { stream: 'approvals', sentence: 'A held request has every approval that it needs.' },
  'approval.cancelled': { stream: 'approvals', sentence: 'A held request was withdrawn before it was decided.' },
  'approval.decided': { stream: 'approvals', sentence: 'One person approved or denied a held request.' },
  'approval.denied': { stream: 'approvals', sentence: 'A held request ended with a no. Nothing was sent.' },
  'approval.executed': { stream: 'approvals', sentence: 'An approved request was sent and answered.' },
  'approval.executing': {
    stream: 'approvals',
    sentence: 'An approved request is about to be sent: the intent row of its execution.',
  },
  'approval.expired': { stream: 'approvals', sentence: 'Nobody decided on a held request in time.' },
  'approval.failed': { stream: 'approvals', sentence: 'An approved request could not be sent, or gave no answer.' },
  'approval.outcome_unknown': {
    stream: 'approvals',
    sentence: 'The server ended while it executed an approved request: it may have been sent. It is not sent again.',
  },
  'approval.requested': { stream: 'approvals', sentence: 'A request was held and waits for a person.' },
  'approval.result_read': { stream: 'approvals', sentence: 'The answer to an approved request was handed out.' },
  'audit.exported': { stream: 'portal', sentence: 'A part of the audit log was exported.' },
  'audit.history_lost': {
    stream: 'system',
    sentence: 'The log ends before a place that a process has seen: the database went back in time.',
  },
  'audit.queried_body': { stream: 'portal', sentence: 'Somebody opened the bodies that were captured with a row.' },
  'call.reported': { stream: 'runtime', sentence: 'A client reported a call that it made itself. No evidence of it.' },
  'credential.revoked': { stream: 'grants', sentence: 'A credential was destroyed.' },
  'credential.rotated': { stream: 'grants', sentence: 'The value of a credential was replaced.' },
  'grant.created': { stream: 'grants', sentence: 'Somebody was allowed to use a credential.' },
  'grant.revoked': { stream: 'grants', sentence: 'A grant was ended.' },
  'grant.updated': { stream: 'grants', sentence: "A grant's label, restrictions or end changed." },
  'integrity.checked': { stream: 'system', sentence: 'The audit log was checked against its checkpoints.' },
  'key.deprecated': { stream: 'portal', sentence: 'A key was marked as one to stop using; it still works.' },
  'key.derived': { stream: 'portal', sentence: 'A key made a narrower and shorter-lived one.' },
  'key.minted': { stream: 'portal', sentence: 'A key was made.' },
  'key.revoked': { stream: 'portal', sentence: 'A key was ended, with the keys derived from it.' },
  'key.rotated': { stream: 'portal', sentence: 'A key got a successor and works on until its grace ends.' },
  'key.undeprecated': { stream: 'portal', sentence: 'A key is no longer marked as one to stop using.' },
  'key.updated': { stream: 'portal', sentence: "A key's name or metadata changed." },
  'member.created': { stream: 'portal', sentence: 'Somebody became a member of the organization.' },
  'pat.minted': { stream: 'portal', sentence: 'A member got a personal access token.' },
  'pat.revoked': { stream: 'portal', sentence: 'A personal access token was ended.' },
  'policy.simulated': { stream: 'runtime', sentence: 'A caller asked what the rules would say. Nothing was sent.' },
  'proxy.denied': {
    stream: 'runtime',
    sentence: 'A rule or a limit of the grant said no to a call. Nothing was sent.',
  },
  'proxy.executed': { stream: 'runtime', sentence: 'A call was sent and the provider answered, well or not.' },
  'proxy.failed': { stream: 'runtime', sentence: 'A call was sent or dialled, and no usable answer came.' },
  'proxy.late_answer': {
    stream: 'runtime',
    sentence: 'An outcome came after its intent was declared unknown. It is recorded, and its answer was withheld.',
  },
  'proxy.outcome_unknown': {
    stream: 'runtime',
    sentence: 'No outcome followed an intent within ten minutes: the call may have been sent. It is not sent again.',
  },
  'proxy.refused': {
    stream: 'runtime',
    sentence: 'A call was refused before the rules or after them. Nothing was sent.',
  },
  'proxy.requested': {
    stream: 'runtime',
    sentence: 'A call is allowed and about to be sent: the intent row, durable before the credential is opened.',
  },
  'retention.applied': {
    stream: 'system',
    sentence: 'Details, bodies or approvals that were old enough were forgotten.',
  },
  'rule.created': { stream: 'portal', sentence: 'A rule was added.' },
  'rule.deleted': { stream: 'portal', sentence: 'A rule was deleted.' },
  'rule.restored': { stream: 'portal', sentence: 'An earlier version of a rule became its newest.' },
  'rule.updated': { stream: 'portal', sentence: 'A rule changed.' },
  'secret.created': { stream: 'portal', sentence: 'A managed secret was created.' },
  'secret.deleted': { stream: 'portal', sentence: 'A managed secret was deleted, with its credentials.' },
  'secret.updated': { stream: 'portal', sentence: "A managed secret's settings or allowed hosts changed." },
  'server.started': { stream: 'system', sentence: 'A server process began to serve.' },
  'server.stopped': { stream: 'system', sentence: 'A server process ended in order.' },
  'setting.created': { stream: 'portal', sentence: 'The organization was set up.' },
  'system.credential_echo_found': {
    stream: 'system',
    sentence: 'A provider sent the credential back; it was taken out before the answer went on.',
  },
  'system.integrity_failed': {
    stream: 'system',
    sentence: 'A check found a row or checkpoint that is not as it was written. Nothing is repaired.',
  },
  'token.denied': { stream: 'runtime', sentence: 'A rule or a limit of the grant kept a credential back.' },
  'token.refused': { stream: 'runtime', sentence: 'A credential was kept back before the rules were asked.' },
  'token.requested': {
    stream: 'runtime',
    sentence: 'A credential is about to be handed out: the intent row, durable before it is opened.',
  },
  'token.retrieved': { stream: 'runtime', sentence: 'A credential was handed out.' },
} as const satisfies Record<string, AuditEventKind>

export type AuditEventName = keyof typeof auditEvents
