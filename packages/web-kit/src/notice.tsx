import type { ReactNode } from 'react'
import { classNames } from './class-names.ts'
import { Icon, type IconName } from './icon.tsx'
import styles from './notice.module.css'
import type { Tone } from './tone.ts'

type Props = {
  tone: Exclude<Tone, 'plain' | 'shadow'>
  icon: IconName
  title: string
  children?: ReactNode
  /** `alert` interrupts a screen reader: only for what went wrong just now. */
  role?: 'alert' | 'status'
}

/** Something the reader must know, in the app's own words: never used for text of others. */
export function Notice({ tone, icon, title, children, role }: Props) {
  return (
    <div className={classNames(styles.notice, styles[tone])} role={role}>
      <span className={styles.icon}>
        <Icon name={icon} />
      </span>
      <p className={styles.title}>{title}</p>
      {children && <div className={styles.body}>{children}</div>}
    </div>
  )
}
