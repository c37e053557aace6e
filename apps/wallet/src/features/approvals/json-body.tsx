import { classNames } from '@alter-vault/web-kit/class-names.ts'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import type { CSSProperties } from 'react'
import styles from './body-viewer.module.css'
import type { JsonOutline } from './json-outline.ts'

/** Deeper lines keep this indentation, so that deep nesting cannot push values out of sight. */
const DEEPEST_INDENT = 10

/** The first lines of JSON, one member a line. */
export function JsonBody({ outline, lines }: { outline: JsonOutline; lines: number }) {
  return (
    <section className={styles.code} aria-label="Formatted body">
      {outline.lines.slice(0, lines).map(({ depth, tokens }, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines of one text never move
        <div key={row} className={styles.line} style={{ '--depth': Math.min(depth, DEEPEST_INDENT) } as CSSProperties}>
          {tokens.map((token, place) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: tokens of one line never move
            <span key={place}>
              <UntrustedText className={classNames(styles[token.kind])} text={token.source} />
              {token.reads !== undefined && (
                <span className={styles.reads}>
                  reads <UntrustedText text={token.reads} />
                </span>
              )}
              {token.repeated && <span className={styles.repeated}>named twice</span>}
            </span>
          ))}
        </div>
      ))}
    </section>
  )
}
