import { describe, expect, it } from 'vitest'
import { readApprovalLink } from './approval-link.ts'

const pathname = '/wallet/approvals/3f0c6a52-6f57-4a4e-9f0d-0d3c5a2b7e11'

describe('approval link', () => {
  it('reads the approval from the path and the token from the fragment', () => {
    expect(readApprovalLink({ pathname, hash: '#t=abc.def-_' })).toEqual({
      approvalId: '3f0c6a52-6f57-4a4e-9f0d-0d3c5a2b7e11',
      token: 'abc.def-_',
    })
  })

  it.each(['', '#', '#t=', '#token=abc'])('has no token in %j', (hash) => {
    expect(readApprovalLink({ pathname, hash })?.token).toBeNull()
  })

  it.each(['/wallet/', '/wallet/approvals/', '/wallet/approvals/a/b', '/x/wallet/approvals/a'])(
    'is not %s',
    (other) => {
      expect(readApprovalLink({ pathname: other, hash: '#t=abc' })).toBeUndefined()
    },
  )
})
