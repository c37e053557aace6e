import { type ApprovalPage, type DecisionState, LINK_TOKEN_HEADER } from '@alter-vault/contracts'

/** The holder of one approval link, without a browser. */
export function approvalLink(link: string) {
  const url = new URL(link)
  const approvalId = url.pathname.split('/').at(-1) ?? ''
  const token = new URLSearchParams(url.hash.slice(1)).get('t') ?? ''
  const path = `${url.origin}/wallet/api/approvals/${approvalId}`

  async function page(): Promise<ApprovalPage> {
    const response = await fetch(path, { headers: { [LINK_TOKEN_HEADER]: token } })
    if (response.status !== 200) throw new Error(`The page answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as ApprovalPage
  }

  /** Sends a decision as it is; the answer, whatever its status. */
  async function send(body: Record<string, unknown>): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`${path}/decide`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ link_token: token, ...body }),
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }

  async function decide(decision: 'approve' | 'deny', reason?: string): Promise<DecisionState> {
    const shown = await page()
    if (shown.view !== 'open') throw new Error(`The request has ended: ${shown.status}`)
    const answer = await send({ decision, action_hash: shown.action_hash, ...(reason === undefined ? {} : { reason }) })
    if (answer.status !== 200) throw new Error(`Refused with ${answer.status}: ${JSON.stringify(answer.body)}`)
    return answer.body as unknown as DecisionState
  }

  return {
    approvalId,
    token,
    page,
    send,
    approve: (reason?: string) => decide('approve', reason),
    deny: (reason?: string) => decide('deny', reason),
  }
}
