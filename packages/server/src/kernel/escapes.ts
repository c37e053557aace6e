/** How often the escapes of a text may be escaped again in other ways than `%25`. Nobody does so, and each time costs a reading of the whole. */
const MAX_PASSES = 5

const RUN = /(?:%[0-9a-f]{2})+/gi
/** An escape under any number of `%25`, so that a long chain of them takes one pass. */
const NESTED = /%(?:25)*([0-9a-f]{2})/gi
const NESTED_RUN = new RegExp(`(?:${NESTED.source})+`, 'gi')
const IIS_ESCAPE = /%(?:25)*u([0-9a-f]{4})/gi
/** Two bytes for one character of ASCII, which some decoders still take (RFC 3629, 10). */
const OVERLONG = /[\u00c0\u00c1][\u0080-\u00bf]/g

/** A percent-encoded text with one layer of escapes decoded, as UTF-8. */
export const decodeOnce = (text: string): string =>
  text.replace(RUN, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))

/**
 * What is left after every layer of escapes, decoded in every way that servers are known to: UTF-8, overlong UTF-8, `%u0041`, and
 * characters by compatibility. Undefined when that takes more passes than anybody needs.
 */
export function decodeFully(text: string): string | undefined {
  let decoded = text
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const next = decoded
      .replace(IIS_ESCAPE, (_, hex: string) => characterOf(hex))
      .replace(NESTED_RUN, decodeNested)
      .normalize('NFKC')
    if (next === decoded) return decoded
    decoded = next
  }
  return undefined
}

const characterOf = (hex: string): string => String.fromCharCode(Number.parseInt(hex, 16))

function decodeNested(run: string): string {
  const bytes = run
    .replace(NESTED, (_, hex: string) => characterOf(hex))
    .replace(OVERLONG, (pair) => String.fromCharCode(((pair.charCodeAt(0) & 1) << 6) | (pair.charCodeAt(1) & 0x3f)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
