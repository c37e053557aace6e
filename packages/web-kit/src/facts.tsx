import type { ReactNode } from 'react'
import styles from './facts.module.css'

/** Named values, one below the other. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className={styles.facts}>{children}</dl>
}

/** One of them; nothing at all when there is no value. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  if (children === null || children === undefined || children === false) return null
  return (
    <div className={styles.fact}>
      <dt className={styles.term}>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
