/** Id under which react-aria looks for its style element before it makes one. */
const PRESSABLE_STYLE_ID = 'react-aria-pressable-style'

/**
 * Keeps react-aria from adding an inline style element, which `style-src 'self'` refuses: it adds none when the id is taken. Its one
 * rule stands in `base.css` instead. Call before the first render.
 */
export function claimInlineStyles(document: Document): void {
  const claimed = document.createElement('meta')
  claimed.id = PRESSABLE_STYLE_ID
  document.head.append(claimed)
}
