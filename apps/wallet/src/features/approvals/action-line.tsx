import type { OpenApprovalPage } from '@alter-vault/contracts'
import { Notice } from '@alter-vault/web-kit/notice.tsx'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import type { Ref } from 'react'
import styles from './action-line.module.css'
import { hostWarnings } from './host-warnings.ts'
import { hostWords } from './request-words.ts'

type Props = Pick<OpenApprovalPage, 'request' | 'requester' | 'credential' | 'meaning'> & {
  titleRef: Ref<HTMLHeadingElement>
}

const NAMES_SHOWN = 8

/** The names in a query; their values stand below. */
const namesOf = (query: readonly { name: string }[]) =>
  query
    .slice(0, NAMES_SHOWN)
    .map(({ name }) => `${name}=…`)
    .join('&') + (query.length > NAMES_SHOWN ? '&…' : '')

/** What would happen, in one sentence and one line, both made from the frozen request and never from the requester's words. */
export function ActionLine({ request, requester, credential, meaning, titleRef }: Props) {
  const { url_parts } = request
  const host = hostWords(url_parts)
  const warnings = hostWarnings(url_parts)
  return (
    <div className={styles.what}>
      <h1 className={styles.sentence} ref={titleRef} tabIndex={-1}>
        {requester.agent ? (
          <>
            Agent <UntrustedText text={requester.agent.name} />
          </>
        ) : (
          <>
            App <UntrustedText text={requester.app.name} />
          </>
        )}{' '}
        asks to send this request to <UntrustedText text={host} />, using <UntrustedText text={credential.name} />
        {credential.account && (
          <>
            {' '}
            as <UntrustedText text={credential.account} />
          </>
        )}
      </h1>
      <p className={styles.action}>
        <span className={styles.method}>
          <UntrustedText text={request.method} />
        </span>
        <span>
          <UntrustedText className={styles.host} text={host} />
          <UntrustedText className={styles.path} text={url_parts.path} />
          {request.query.length > 0 && (
            <span className={styles.query}>
              ?<UntrustedText text={namesOf(request.query)} />
            </span>
          )}
        </span>
        {url_parts.path_reads !== null && (
          <span className={styles.reads}>
            A server may read the path as <UntrustedText className={styles.path} text={url_parts.path_reads} />
          </span>
        )}
      </p>
      {request.names_other_method && (
        <Notice tone="stop" icon="warning" title="This request names another method">
          <p>
            A parameter such as “_method” is in it. Some providers obey it and carry out something else than{' '}
            <UntrustedText text={request.method} />.
          </p>
        </Notice>
      )}
      {warnings.length > 0 && (
        <Notice tone="wait" icon="warning" title="Look at the address twice">
          {warnings.map((warning) => (
            <p key={warning}>
              <UntrustedText text={warning} />
            </p>
          ))}
        </Notice>
      )}
      {meaning && (
        <p className={styles.meaning}>
          <UntrustedText text={meaning} />
        </p>
      )}
    </div>
  )
}
