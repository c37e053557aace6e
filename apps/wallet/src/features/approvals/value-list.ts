import type { RequestView } from '@alter-vault/contracts'

const SHOWN = 6

/** The first values of what will be sent, for a place beside the buttons: of the body, then of the query. */
export function firstValues({ body, query }: Pick<RequestView, 'body' | 'query'>): {
  values: { name: string; value: string }[]
  left: number
} {
  const ofBody = body.values.map(({ name, value, cut }) => ({ name, value: cut ? `${value}…` : value }))
  const values = [...ofBody, ...query].slice(0, SHOWN)
  return { values, left: body.values_total + query.length - values.length }
}
