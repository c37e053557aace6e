import { describe, expect, it } from 'vitest'
import { formPairs } from './form-pairs.ts'

describe('form pairs', () => {
  it('decodes names and values in order', () => {
    expect(formPairs('amount=450&note=caf%C3%A9+au+lait&empty=')).toEqual([
      { name: 'amount', value: '450', repeated: false },
      { name: 'note', value: 'café au lait', repeated: false },
      { name: 'empty', value: '', repeated: false },
    ])
  })

  it('marks a name that occurs twice, however it is written', () => {
    expect(formPairs('amount=1&%61mount=9').map((pair) => pair.repeated)).toEqual([true, true])
  })

  it('keeps a question mark that begins the first name', () => {
    expect(formPairs('?a=1')[0]?.name).toBe('?a')
  })
})
