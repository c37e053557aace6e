import { Notice } from '@alter-vault/web-kit/notice.tsx'
import { spellOut } from '@alter-vault/web-kit/visible-characters.ts'
import type { Problem } from './problem-words.ts'
import styles from './small-print.module.css'

export function ProblemNotice({ problem }: { problem: Problem }) {
  return (
    <Notice tone="stop" icon="warning" title={problem.title} role="alert">
      {problem.sentences.map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
      {problem.requestId && <p className={styles.id}>Request id {spellOut(problem.requestId)}</p>}
    </Notice>
  )
}
