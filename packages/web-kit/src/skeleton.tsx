import { classNames } from './class-names.ts'
import styles from './skeleton.module.css'

/** The place of something that has not arrived; appears after 200 ms and says nothing to a screen reader. */
export function Skeleton({ shape }: { shape: 'line' | 'title' | 'block' }) {
  return <span className={classNames(styles.skeleton, styles[shape])} aria-hidden="true" />
}
