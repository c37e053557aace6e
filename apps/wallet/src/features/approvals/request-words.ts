import type { GateView, OpenApprovalPage } from '@alter-vault/contracts'

type HeldBy = OpenApprovalPage['held_by'][number]

const SOURCES: Record<HeldBy['source'], string> = {
  organization: 'a rule of the organization',
  app: 'a rule of the app',
  provider: 'a rule for this provider',
  agent: 'a rule for this agent',
  grant: 'a rule of this access',
  key: 'a rule of the key that was used',
  request: 'asked for with this one request',
  own_limit: 'your own limit',
}

/** Where a rule comes from. */
export const sourceWords = (source: HeldBy['source']): string => SOURCES[source]

/** What must happen for a gate to be approved, with what has happened. */
export function quorumWords({
  quorum,
  approvals,
  approvers,
}: Pick<GateView, 'quorum' | 'approvals' | 'approvers'>): string {
  if (quorum === 1) return approvers.length ? 'One of the approvers decides' : 'Whoever holds this link decides'
  return `${approvals} of ${quorum} approvals given`
}

/** The host as it is dialled, with its port when it is not the usual one. */
export const hostWords = ({ host, port }: { host: string; port: number | null }): string =>
  port === null ? host : `${host}:${port}`
