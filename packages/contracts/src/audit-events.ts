/** Every event that this server writes, by stream and name: the sentence says what happened. */
const streams = {
  runtime: {
    'call.reported': 'A client reported a call that it made itself. No evidence of it.',
    'policy.simulated': 'A caller asked what the rules would say. Nothing was sent.',
    'proxy.denied': 'A rule or a limit of the grant said no to a call. Nothing was sent.',
    'proxy.executed': 'A call was sent and the provider answered, well or not.',
    'proxy.failed': 'A call was sent or dialled, and no usable answer came.',
    'proxy.late_answer':
      'An outcome came after its intent was declared unknown. It is recorded, and its answer was withheld.',
    'proxy.outcome_unknown':
      'No outcome followed an intent within ten minutes: the call may have been sent. It is not sent again.',
    'proxy.refused': 'A call was refused before the rules or after them. Nothing was sent.',
    'proxy.requested':
      'A call is allowed and about to be sent: the intent row, durable before the credential is opened.',
    'token.denied': 'A rule or a limit of the grant kept a credential back.',
    'token.refused': 'A credential was kept back before the rules were asked.',
    'token.requested': 'A credential is about to be handed out: the intent row, durable before it is opened.',
    'token.retrieved': 'A credential was handed out.',
  },
  grants: {
    'credential.revoked': 'A credential was destroyed.',
    'credential.rotated': 'The value of a credential was replaced.',
    'grant.created': 'Somebody was allowed to use a credential.',
    'grant.revoked': 'A grant was ended.',
    'grant.updated': "A grant's label, restrictions or end changed.",
  },
  portal: {
    'agent.created': 'An agent was created.',
    'agent.resumed': 'A suspended agent may work again.',
    'agent.revoked': 'An agent was ended for good, with its keys and grants.',
    'agent.suspended': 'An agent was paused.',
    'agent.updated': "An agent's name, scopes, policy or metadata changed.",
    'app.archived': 'An app was put to rest: its keys no longer work.',
    'app.created': 'An app was created.',
    'app.deleted': 'An app was deleted, with everything in it.',
    'app.unarchived': 'An archived app works again.',
    'app.updated': "An app's name, description or settings changed.",
    'audit.exported': 'A part of the audit log was exported.',
    'audit.queried_body': 'Somebody opened the bodies that were captured with a row.',
    'key.deprecated': 'A key was marked as one to stop using; it still works.',
    'key.derived': 'A key made a narrower and shorter-lived one.',
    'key.minted': 'A key was made.',
    'key.revoked': 'A key was ended, with the keys derived from it.',
    'key.rotated': 'A key got a successor and works on until its grace ends.',
    'key.undeprecated': 'A key is no longer marked as one to stop using.',
    'key.updated': "A key's name or metadata changed.",
    'member.created': 'Somebody became a member of the organization.',
    'pat.minted': 'A member got a personal access token.',
    'pat.revoked': 'A personal access token was ended.',
    'rule.created': 'A rule was added.',
    'rule.deleted': 'A rule was deleted.',
    'rule.restored': 'An earlier version of a rule became its newest.',
    'rule.updated': 'A rule changed.',
    'secret.created': 'A managed secret was created.',
    'secret.deleted': 'A managed secret was deleted, with its credentials.',
    'secret.updated': "A managed secret's settings or allowed hosts changed.",
    'setting.created': 'The organization was set up.',
  },
  provisioning: {},
  approvals: {
    'approval.approved': 'A held request has every approval that it needs.',
    'approval.cancelled': 'A held request was withdrawn before it was decided.',
    'approval.decided': 'One person approved or denied a held request.',
    'approval.denied': 'A held request ended with a no. Nothing was sent.',
    'approval.executed': 'An approved request was sent and answered.',
    'approval.executing': 'An approved request is about to be sent: the intent row of its execution.',
    'approval.expired': 'Nobody decided on a held request in time.',
    'approval.failed': 'An approved request could not be sent, or gave no answer.',
    'approval.outcome_unknown':
      'The server ended while it executed an approved request: it may have been sent. It is not sent again.',
    'approval.requested': 'A request was held and waits for a person.',
    'approval.result_read': 'The answer to an approved request was handed out.',
  },
  system: {
    'audit.history_lost': 'The log ends before a place that a process has seen: the database went back in time.',
    'integrity.checked': 'The audit log was checked against its checkpoints.',
    'retention.applied': 'Details, bodies or approvals that were old enough were forgotten.',
    'server.started': 'A server process began to serve.',
    'server.stopped': 'A server process ended in order.',
    'system.credential_echo_found': 'A provider sent the credential back; it was taken out before the answer went on.',
    'system.integrity_failed': 'A check found a row or checkpoint that is not as it was written. Nothing is repaired.',
  },
} as const satisfies Record<string, Record<string, string>>

export type AuditStreamName = keyof typeof streams
type NameIn<Stream> = Stream extends unknown ? keyof Stream : never
export type AuditEventName = NameIn<(typeof streams)[AuditStreamName]>

/** The stream that each event belongs to, and its sentence, by name. */
export const auditEvents = Object.fromEntries(
  Object.entries(streams)
    .flatMap(([stream, sentences]) =>
      Object.entries(sentences).map(([event, sentence]) => [event, { stream, sentence }] as const),
    )
    .sort(([a], [b]) => (a < b ? -1 : 1)),
) as Readonly<Record<AuditEventName, { stream: AuditStreamName; sentence: string }>>
