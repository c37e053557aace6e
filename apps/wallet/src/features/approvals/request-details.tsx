import type { RequestView } from '@alter-vault/contracts'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { memo } from 'react'
import { BodyViewer, type LoadWholeBody } from './body-viewer.tsx'
import { PairTable } from './pair-table.tsx'
import styles from './request-details.module.css'
import { hostWords } from './request-words.ts'
import { Section } from './section.tsx'

type Props = { request: RequestView; actionHash: string; loadWholeBody: LoadWholeBody }

const HASH_SHOWN = 12

function WholeUrl({ url, parts }: { url: string; parts: RequestView['url_parts'] }) {
  const before = `${parts.scheme}://`
  const host = hostWords(parts)
  if (!url.startsWith(before + host)) return <UntrustedText text={url} />
  return (
    <>
      <span className={styles.rest}>{before}</span>
      <UntrustedText className={styles.host} text={host} />
      <UntrustedText className={styles.rest} text={url.slice(before.length + host.length)} />
    </>
  )
}

/** Exactly what will be sent: method, address, query, headers and body, with the hash of it all. */
export const RequestDetails = memo(function RequestDetails({ request, actionHash, loadWholeBody }: Props) {
  const { url, url_parts, query, headers, added_by_vault, body } = request
  const vaultPairs = (place: 'header' | 'query') =>
    added_by_vault.filter((added) => added.place === place).map(({ name }) => ({ name, value: null }))
  const queryPairs = [
    ...query.map((pair) => ({ ...pair, repeated: query.filter(({ name }) => name === pair.name).length > 1 })),
    ...vaultPairs('query'),
  ]
  const headerPairs = [...headers, ...vaultPairs('header')]
  const bodyAdditions = added_by_vault.filter(({ place }) => place === 'body')

  return (
    <Section title="Exactly what will be sent">
      <div className={styles.block}>
        <p className={styles.name}>
          Address, method <UntrustedText text={request.method} />
        </p>
        <p className={styles.url}>
          <WholeUrl url={url} parts={url_parts} />
        </p>
      </div>
      {queryPairs.length > 0 && <PairTable caption="Query" pairs={queryPairs} />}
      {headerPairs.length > 0 && <PairTable caption="Header" pairs={headerPairs} />}
      <BodyViewer body={body} loadWholeBody={loadWholeBody} />
      {bodyAdditions.length > 0 && (
        <p className={styles.name}>
          The vault adds to the body:{' '}
          {bodyAdditions.map(({ name }, index) => (
            <span key={name}>
              {index > 0 && ', '}
              <UntrustedText text={name} />
            </span>
          ))}
        </p>
      )}
      <div className={styles.block}>
        <p className={styles.name}>Proof: SHA-256 of all of this. What is executed has this hash.</p>
        <p className={styles.hash}>
          <strong>{actionHash.slice(0, HASH_SHOWN)}</strong>
          {actionHash.slice(HASH_SHOWN)}
        </p>
      </div>
    </Section>
  )
})
