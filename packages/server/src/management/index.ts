export { assertVersion } from './assert-version.ts'
export {
  type AppRef,
  authorColumn,
  type ChangeAuthor,
  callerAuthor,
  changeRow,
  changesBetween,
  changesTo,
  secretChange,
  shownAuthor,
  systemAuthor,
} from './change-author.ts'
export { changeOnce } from './change-once.ts'
export { createEndings, type Ended, type EndedBy, type Endings, type OnEnded } from './endings.ts'
export type { ManagedRule, ManagedRules } from './managed-rules.ts'
export { admitOperator, type Operator, tokenSession } from './operator.ts'
export { bindForOperators, refuseTokens } from './operator-endpoint.ts'
export { bindForCallers, type Caller, type CallerAgent, callerAuthenticator, type SdkCaller } from './sdk-caller.ts'
export { freeSlug, slugOf } from './slug.ts'
