import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { newId } from './ids.ts'
import { decodeCursor, encodeCursor, parsePage, toPage } from './page.ts'

const place = { at: '2026-03-02 08:00:00.123456+00', id: newId() }
const refusal = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return (error as { code?: string }).code
  }
}

describe('a cursor', () => {
  it('comes back as the place it was made from', () => {
    expect(decodeCursor(encodeCursor(place))).toEqual(place)
  })
  it('of any other text is refused', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(refusal(() => decodeCursor(text))).toBe('invalid_cursor')
      }),
    )
  })
  it('cannot carry SQL, another time format or a place that is no id', () => {
    for (const forged of [
      ['now()', place.id],
      [place.at, "'; drop table apps"],
      [place.at],
      [1, 2],
      { at: place.at },
    ]) {
      const cursor = Buffer.from(JSON.stringify(forged)).toString('base64url')
      expect(refusal(() => decodeCursor(cursor))).toBe('invalid_cursor')
    }
  })
})

describe('a page', () => {
  const rows = [1, 2, 3].map((n) => ({ n, place_id: newId(), place_at: `2026-03-02 08:00:0${n}+00` }))

  it('says that there is more and where to go on', () => {
    const page = toPage(rows, parsePage({ limit: 2 }), (row) => row)
    expect(page).toMatchObject({ has_more: true })
    expect(page.items).toEqual([{ n: 1 }, { n: 2 }])
    expect(decodeCursor(page.next_cursor!)).toEqual({ at: rows[1]!.place_at, id: rows[1]!.place_id })
  })
  it('says when it is the last one', () => {
    expect(toPage(rows, parsePage({ limit: 3 }), (row) => row.n)).toEqual({
      items: [1, 2, 3],
      has_more: false,
      next_cursor: null,
    })
  })
  it('cuts an offset that is too far and says so', () => {
    expect(parsePage({ offset: 10_001 })).toMatchObject({ offset: 10_000, isTruncated: true })
    expect(parsePage({ offset: 7 })).toMatchObject({ offset: 7, isTruncated: false })
    expect(refusal(() => parsePage({ offset: 7, cursor: encodeCursor(place) }))).toBe('validation_failed')
  })
})
