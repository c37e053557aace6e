// Written by tools/generate-clients.ts from packages/contracts. Do not edit.

import type * as contracts from '@alter-vault/contracts'
import type { BrowserEndpoint } from '../api-client.ts'

export const constants = {
  AGENT_METADATA_MAX_BYTES: 8192,
  AGENT_SCOPES_MAX_BYTES: 12288,
  APPROVAL_WAIT_MAX_SECONDS: 25,
  CONTEXT_MAX_LENGTH: 4096,
  CONTEXT_MAX_MEMBERS: 20,
  DECISION_REASON_MAX_CHARACTERS: 500,
  DEFAULT_PAGE_SIZE: 50,
  HELD_BODY_MAX_BYTES: 1048576,
  INLINE_BODY_MAX_BYTES: 26214400,
  KEY_PREFIX_LENGTH: 16,
  KEY_RANDOM_LENGTH: 22,
  LINK_TOKEN_HEADER: 'x-alter-link-token',
  LISTED_VALUES: 100,
  LISTED_VALUE_CHARACTERS: 200,
  MAX_OFFSET: 10000,
  MAX_PAGE_SIZE: 1000,
  MAX_ROTATION_GRACE_SECONDS: 2592000,
  MAX_SCOPES: 100,
  PLAIN_NAME_FORMAT: 'plain-name',
  REASON_MAX_LENGTH: 2000,
  REQUEST_RULE_MAX_CHARACTERS: 4096,
  RULE_BODY_MAX_BYTES: 16384,
  RULE_BODY_VERSION: 1,
  SCOPE_VERSION: 1,
  SHOWN_HEAD_BYTES: 49152,
  SHOWN_TAIL_BYTES: 16384,
  TOKEN_SCOPE_PREFIX: 'dashboard_',
} as const

/** Read what a held request would send, or how it ended. */
export const readApprovalPage: BrowserEndpoint<typeof contracts.readApprovalPage> = {
  method: 'GET',
  path: '/wallet/api/approvals/:approval_id',
}

/** Approve or deny a held request. */
export const decideApprovalByLink: BrowserEndpoint<typeof contracts.decideApprovalByLink> = {
  method: 'POST',
  path: '/wallet/api/approvals/:approval_id/decide',
}
