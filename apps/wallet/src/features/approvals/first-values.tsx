import type { RequestView } from '@alter-vault/contracts'
import { classNames } from '@alter-vault/web-kit/class-names.ts'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import styles from './first-values.module.css'
import { firstValues } from './value-list.ts'

/** What would be cut in half a row gets a row of its own. */
const isWide = (name: string, value: string) => name.length + value.length > 17

/** The first values of what will be sent, a line each. Longer ones stand whole above. */
export function FirstValues({ request }: { request: RequestView }) {
  const { values, left } = firstValues(request)
  if (values.length === 0) return null
  return (
    <dl className={styles.values} aria-label="First values of what will be sent">
      {values.map(({ name, value }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: repeated names have no other identity than their place
        <div key={index} className={classNames(styles.pair, isWide(name, value) && styles.wide)}>
          <dt className={styles.name}>
            <UntrustedText text={name} />
          </dt>
          <dd className={styles.value}>
            <UntrustedText text={value} />
          </dd>
        </div>
      ))}
      {left > 0 && <p className={styles.left}>and {left.toLocaleString('en')} more above</p>}
    </dl>
  )
}
