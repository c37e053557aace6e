import { decideApprovalByLink, errorRegistry } from '@alter-vault/contracts'
import { ApiError } from '@alter-vault/web-kit/api-client.ts'
import { describe, expect, it } from 'vitest'
import { decidingProblem, readingProblem } from './problem-words.ts'

const refusal = (code: string, status: number) => new ApiError(code, '', { status, requestId: 'req_1' })

describe('problem words', () => {
  it.each(decideApprovalByLink.errors)('have their own words for %s', (code) => {
    const problem = decidingProblem(refusal(code, errorRegistry[code].status))
    expect(problem.title).not.toBe('The vault did not accept this decision')
    expect(problem.requestId).toBe('req_1')
  })

  it('claim nothing about a decision that the vault did not answer', () => {
    expect(readingProblem(new ApiError('unreachable', '')).sentences).toContain('Opening this page decided nothing.')
    for (const error of [refusal('internal_error', 500), refusal('unreadable_answer', 200)]) {
      const { title, sentences } = decidingProblem(error)
      expect(title).toContain('Nobody knows yet')
      expect(sentences.join(' ')).not.toContain('othing was')
    }
  })

  it('say of every problem of reading that nothing happened', () => {
    expect(readingProblem(new ApiError('unreachable', '')).sentences).toContain('Opening this page decided nothing.')
    for (const error of [refusal('internal_error', 500), refusal('approval_not_found', 404)]) {
      expect(readingProblem(error).sentences).toContain('Nothing was decided and nothing was sent.')
    }
  })
})
