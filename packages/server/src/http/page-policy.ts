type More = { script?: readonly string[]; style?: readonly string[]; font?: readonly string[] }

/** Content-Security-Policy of a page: what this origin serves and nothing else, no frame around it. `more` is let in besides. */
export function pagePolicy({ script = [], style = [], font = [] }: More = {}): string {
  const own = (kind: string, more: readonly string[] = []) => [`${kind}-src 'self'`, ...more].join(' ')
  return [
    "default-src 'none'",
    own('script', script),
    own('style', style),
    own('img', ['data:']),
    own('font', font),
    own('connect'),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
