import type { RequestView } from '@alter-vault/contracts'
import { Notice } from '@alter-vault/web-kit/notice.tsx'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { memo, type ReactNode } from 'react'
import { BodyViewer } from './body-viewer.tsx'
import type { LoadWholeBody } from './download-body.tsx'
import { withRepeats } from './form-pairs.ts'
import { PairTable } from './pair-table.tsx'
import styles from './request-details.module.css'
import { hostWords } from './request-words.ts'
import { Section } from './section.tsx'

type Props = { request: RequestView; actionHash: string; loadWholeBody: LoadWholeBody; end: ReactNode }

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

/** Exactly what will be sent: query, body, headers and address, with the hash of it all. `end` stands behind query and body. */
export const RequestDetails = memo(function RequestDetails({ request, actionHash, loadWholeBody, end }: Props) {
  const { url, url_parts, query, headers, added_by_vault, body } = request
  const vaultPairs = (place: 'header' | 'query') =>
    added_by_vault.filter((added) => added.place === place).map(({ name }) => ({ name, value: null }))
  const queryPairs = [...withRepeats(query), ...vaultPairs('query')]
  const headerPairs = [...headers, ...vaultPairs('header')]
  const bodyAdditions = added_by_vault.filter(({ place }) => place === 'body')

  return (
    <Section title="Exactly what will be sent">
      {request.query_ambiguous && (
        <Notice tone="wait" icon="warning" title="The query has more than one reading">
          <p>Providers may find other names and values in it than these.</p>
        </Notice>
      )}
      {queryPairs.length > 0 && <PairTable caption="Query" pairs={queryPairs} />}
      <BodyViewer body={body} loadWholeBody={loadWholeBody} end={end} />
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
      {headerPairs.length > 0 && <PairTable caption="Header" pairs={headerPairs} />}
      <div className={styles.block}>
        <p className={styles.name}>
          Address, method <UntrustedText text={request.method} />
        </p>
        <p className={styles.url}>
          <WholeUrl url={url} parts={url_parts} />
        </p>
      </div>
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
