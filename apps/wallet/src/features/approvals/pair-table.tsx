import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import styles from './pair-table.module.css'

/** `value` null: only the vault knows it. */
type Pair = { name: string; value: string | null; repeated?: boolean }

/** Names and values exactly as they are sent, repeats and order kept. */
export function PairTable({ caption, pairs }: { caption: string; pairs: readonly Pair[] }) {
  return (
    <table className={styles.table} aria-label={caption}>
      <thead>
        <tr>
          <th scope="col">{caption}</th>
          <th scope="col">Value</th>
        </tr>
      </thead>
      <tbody>
        {pairs.map(({ name, value, repeated }, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: repeated names have no other identity than their place
          <tr key={index}>
            <th scope="row">
              <UntrustedText text={name} />
            </th>
            <td>
              {value === null ? (
                <span className={styles.vault}>added by the vault</span>
              ) : (
                <UntrustedText text={value} multiline />
              )}
              {repeated && <span className={styles.repeated}>named more than once</span>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
