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
          {request.query.length > 0 && <span className={styles.query}>?…</span>}
        </span>
      </p>
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
