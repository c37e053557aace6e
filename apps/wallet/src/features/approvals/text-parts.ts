/** What is drawn at first, and with each further step. A line may be a page wide, so characters count too. */
const FIRST = { lines: 40, characters: 4_000 }
const STEP = { lines: 1_000, characters: 32_000 }

/** How many lines are drawn after so many steps. */
export const linesAfter = (steps: number): number => FIRST.lines + steps * STEP.lines

/** Where a text is cut after so many steps: behind a line break where one is near, never inside a character. */
export function endAfter(text: string, steps: number): number {
  const characters = FIRST.characters + steps * STEP.characters
  let end = -1
  for (let line = 0; line < linesAfter(steps); line++) {
    const next = text.indexOf('\n', end + 1)
    if (next < 0 || next >= characters)
      return cutAt(text, next < 0 && text.length <= characters ? text.length : characters)
    end = next
  }
  return end + 1
}

function cutAt(text: string, end: number): number {
  if (end >= text.length) return text.length
  const code = text.charCodeAt(end)
  return code >= 0xdc00 && code <= 0xdfff ? end - 1 : end
}
