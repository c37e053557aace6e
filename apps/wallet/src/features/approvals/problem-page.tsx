import { classNames } from '@alter-vault/web-kit/class-names.ts'
import { Icon } from '@alter-vault/web-kit/icon.tsx'
import { spellOut } from '@alter-vault/web-kit/visible-characters.ts'
import styles from './ended-approval.module.css'
import { PageFrame } from './page-frame.tsx'
import type { Problem } from './problem-words.ts'
import smallPrint from './small-print.module.css'

/** A page that shows no request, and says why. */
export function ProblemPage({ problem }: { problem: Problem }) {
  return (
    <PageFrame branding={null}>
      <div className={styles.outcome} role="alert">
        <span className={classNames(styles.symbol, styles.stop)}>
          <Icon name="warning" size={28} />
        </span>
        <h1 className={styles.title}>{problem.title}</h1>
        <div className={styles.sentences}>
          {problem.sentences.map((sentence) => (
            <p key={sentence}>{sentence}</p>
          ))}
        </div>
        {problem.requestId && <p className={smallPrint.id}>Request id {spellOut(problem.requestId)}</p>}
      </div>
    </PageFrame>
  )
}
