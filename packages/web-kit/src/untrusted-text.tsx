import { classNames } from './class-names.ts'
import styles from './untrusted-text.module.css'
import { type TextRun, visibleCharacters } from './visible-characters.ts'

/** Characters that a reader would not see, as small labels. */
export function Mark({ run }: { run: Extract<TextRun, { kind: 'marked' }> }) {
  return (
    <span className={styles.mark} title={run.name}>
      {run.label}
    </span>
  )
}

type Props = {
  text: string
  /** Draw line breaks and tabs as such. */
  multiline?: boolean
  className?: string | undefined
}

/**
 * Text that someone else wrote: isolated from the direction of its surroundings, with every invisible or reordering character drawn
 * as a label, never as markup or a link.
 */
export function UntrustedText({ text, multiline = false, className }: Props) {
  return (
    <span className={classNames(multiline ? styles.lines : styles.text, className)}>
      {visibleCharacters(text, { multiline }).map((run, index) => {
        // biome-ignore lint/suspicious/noArrayIndexKey: the runs of one text have no other identity and never move
        return run.kind === 'plain' ? run.text : <Mark key={index} run={run} />
      })}
    </span>
  )
}
