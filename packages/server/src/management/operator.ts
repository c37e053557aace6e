import type { OperatorNeeds, OperatorRole } from '@alter-vault/contracts'
import type { Reader, Session } from '../audit/index.ts'
import type { Authenticated, Presented } from '../http/authenticators.ts'
import { VaultError } from '../kernel/vault-error.ts'

/** Who makes a management call: a member. */
export type Operator = Reader & {
  /** The personal access token. */
  patId: string
  role: OperatorRole
  /** Scopes without the `dashboard_` prefix, cut by the member's role and closed under implication. */
  scopes: readonly string[]
  /** Null: all apps of the organization. */
  appIds: readonly string[] | null
}

export const tokenSession: Session = { callerKind: 'pat', initiator: 'cli', inPerson: false }

/** Lets an operator in. Refusal: `interactive_session_required` where only a person may call and none is signed in. */
export function admitOperator(
  operator: Operator,
  { params }: Pick<Presented, 'params'>,
  { inPerson = false }: OperatorNeeds,
): Authenticated<Operator> {
  if (inPerson && !operator.session.inPerson) {
    throw new VaultError('interactive_session_required', {
      message: 'A personal access token cannot do this: sign in to the portal.',
    })
  }
  return {
    principal: operator,
    repeats: { scopeId: params.app_id ?? operator.organizationId, by: operator.memberId },
  }
}
