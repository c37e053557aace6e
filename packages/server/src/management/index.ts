export { assertVersion } from './assert-version.ts'
export {
  type AppRef,
  authorColumn,
  type ChangeAuthor,
  callerAuthor,
  changeRow,
  changesBetween,
  secretChange,
  shownAuthor,
  systemAuthor,
} from './change-author.ts'
export { createEndings, type Ended, type EndedBy, type Endings, type OnEnded } from './endings.ts'
export type { ManagedRule, ManagedRules } from './managed-rules.ts'
export { bindForOperators, refuseTokens } from './operator-endpoint.ts'
export { freeSlug, slugOf } from './slug.ts'
