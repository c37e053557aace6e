import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { useId } from 'react'
import styles from './quoted-reason.module.css'

/* Empty lines push what follows out of the quotation's sight; more than one in a row says nothing. */
const withoutGaps = (text: string) =>
  text
    .split(/\r?\n/)
    .filter((line, index, lines) => line.trim() !== '' || lines[index - 1]?.trim() !== '')
    .join('\n')

/**
 * The requester's own words. Dashed and behind a bar on every line; nothing of the page's own looks like it. Painted inside
 * its box only, never as markup, link or control, so whatever it says it cannot look like the page speaking.
 */
export function QuotedReason({ reason }: { reason: string | null }) {
  const id = useId()
  return (
    <section className={styles.box} aria-labelledby={id}>
      <h2 id={id} className={styles.title}>
        The requester says (not checked)
      </h2>
      {reason === null ? (
        <p className={styles.none}>No reason was given.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
        <blockquote className={styles.quote} tabIndex={0} aria-label="Words of the requester">
          <p className={styles.words} dir="auto">
            <UntrustedText text={withoutGaps(reason)} multiline />
          </p>
        </blockquote>
      )}
    </section>
  )
}
