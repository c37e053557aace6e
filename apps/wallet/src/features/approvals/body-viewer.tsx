import type { BodyView } from '@alter-vault/contracts'
import { Button } from '@alter-vault/web-kit/button.tsx'
import { Notice } from '@alter-vault/web-kit/notice.tsx'
import { sizeWords } from '@alter-vault/web-kit/quantity-words.ts'
import { Tabs } from '@alter-vault/web-kit/tabs.tsx'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { type ReactNode, useMemo, useState } from 'react'
import styles from './body-viewer.module.css'
import { formPairs } from './form-pairs.ts'
import { JsonBody } from './json-body.tsx'
import { outlineJson } from './json-outline.ts'
import { PairTable } from './pair-table.tsx'
import { bytesOf, escapeBytes } from './raw-bytes.ts'

/** Reads the body uncut. Rejects when it cannot be read any more. */
export type LoadWholeBody = () => Promise<BodyView>

const KIND_WORDS: Record<BodyView['kind'], string> = {
  json: 'JSON',
  form: 'Form',
  text: 'Text',
  multipart: 'Several parts',
  binary: 'Binary',
  empty: 'None',
  hidden: 'Hidden by the rule',
}

function Scrolling({ label, text }: { label: string; text: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section className={styles.code} tabIndex={0} aria-label={label}>
      <UntrustedText text={text} multiline />
    </section>
  )
}

function Raw({ body }: { body: BodyView }) {
  const content = body.content ?? ''
  return <Scrolling label="Raw body" text={body.encoding === 'base64' ? escapeBytes(bytesOf(content)) : content} />
}

function Parts({ parts }: { parts: NonNullable<BodyView['parts']> }) {
  return (
    <ol className={styles.parts}>
      {parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts have no other identity than their place
        <li key={index} className={styles.part}>
          <span>
            <strong>{part.name === null ? 'Part without a name' : <UntrustedText text={part.name} />}</strong>
            {part.filename !== null && (
              <>
                , file <UntrustedText text={part.filename} />
              </>
            )}
          </span>
          <span className={styles.name}>
            {sizeWords(part.size_bytes)}
            {part.content_type && (
              <>
                , <UntrustedText text={part.content_type} />
              </>
            )}
          </span>
          <span className={styles.hash}>{part.sha256}</span>
        </li>
      ))}
    </ol>
  )
}

function formattedOf(body: BodyView, outline: ReturnType<typeof outlineJson>): ReactNode {
  switch (body.kind) {
    case 'json':
      return outline ? (
        <JsonBody outline={outline} />
      ) : (
        <Notice tone="wait" icon="warning" title="This says that it is JSON, and it is not">
          <p>It is shown under Raw, as it will be sent.</p>
        </Notice>
      )
    case 'form':
      return <PairTable caption="Field" pairs={formPairs(body.content ?? '')} />
    case 'multipart':
      return <Parts parts={body.parts ?? []} />
    case 'text':
      return <Scrolling label="Text body" text={body.content ?? ''} />
    default:
      return null
  }
}

const hexOf = (bytes: ArrayBuffer) =>
  [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/* Outside https and loopback a browser computes no hashes; then the download is not compared. */
async function hasHash(bytes: Uint8Array<ArrayBuffer>, sha256: string): Promise<boolean> {
  return globalThis.crypto.subtle === undefined || hexOf(await crypto.subtle.digest('SHA-256', bytes)) === sha256
}

function saveAsFile(bytes: Uint8Array<ArrayBuffer>, sha256: string) {
  const url = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }))
  const anchor = document.createElement('a')
  anchor.href = url
  anchor.download = `request-body-${sha256.slice(0, 12)}.bin`
  anchor.click()
  URL.revokeObjectURL(url)
}

function Download({ body, load }: { body: BodyView; load: LoadWholeBody }) {
  const [state, setState] = useState<'idle' | 'loading' | 'failed' | 'changed'>('idle')
  const download = async () => {
    setState('loading')
    try {
      const whole = await load()
      const content = whole.content ?? ''
      const bytes = whole.encoding === 'base64' ? bytesOf(content) : new TextEncoder().encode(content)
      if (!(await hasHash(bytes, body.sha256))) return setState('changed')
      saveAsFile(bytes, body.sha256)
      setState('idle')
    } catch {
      setState('failed')
    }
  }
  return (
    <div className={styles.download}>
      <p>The first part is shown here.</p>
      <Button onPress={() => void download()} inert={state === 'loading'}>
        Download all {sizeWords(body.size_bytes)}
      </Button>
      {state === 'failed' && (
        <Notice tone="stop" icon="cross" title="The body could not be downloaded" role="alert">
          <p>Nothing was decided and nothing was sent. Try the download again.</p>
        </Notice>
      )}
      {state === 'changed' && (
        <Notice tone="stop" icon="cross" title="The downloaded body has another hash" role="alert">
          <p>It is not the body shown here, and it was not saved. Load the page again before you decide.</p>
        </Notice>
      )}
    </div>
  )
}

/** The body as it will be sent: formatted where its kind allows, and always raw with nothing invisible. */
export function BodyViewer({ body, loadWholeBody }: { body: BodyView; loadWholeBody: LoadWholeBody | null }) {
  const outline = useMemo(
    () => (body.kind === 'json' ? outlineJson(body.content ?? '', { cut: body.truncated }) : undefined),
    [body.kind, body.content, body.truncated],
  )
  const formatted = formattedOf(body, outline)
  const hasContent = body.content !== null && body.content !== ''
  const repeated = outline?.repeatedKeys ?? []

  return (
    <div className={styles.viewer}>
      <p className={styles.name}>
        Body: {KIND_WORDS[body.kind]}
        {body.kind !== 'empty' && `, ${sizeWords(body.size_bytes)}`}
        {body.content_type && (
          <>
            , <UntrustedText text={body.content_type} />
          </>
        )}
      </p>
      {(body.duplicate_keys || repeated.length > 0) && (
        <Notice tone="stop" icon="warning" title="This JSON names a member twice">
          <p>
            Two readers may understand two different things.
            {repeated.length > 0 && (
              <>
                {' '}
                Look at{' '}
                {repeated.map((name, index) => (
                  <strong key={name}>
                    {index > 0 && ', '}
                    <UntrustedText text={name} />
                  </strong>
                ))}
                .
              </>
            )}
          </p>
        </Notice>
      )}
      {body.kind === 'hidden' && (
        <Notice tone="info" icon="info" title="The rule does not show you this body">
          <p>You see its size and its hash. Approve only what you know from elsewhere.</p>
        </Notice>
      )}
      {hasContent && formatted !== null && (
        <Tabs
          label="How to show the body"
          tabs={[
            { id: 'formatted', name: 'Formatted', content: formatted },
            { id: 'raw', name: 'Raw', content: <Raw body={body} /> },
          ]}
        />
      )}
      {hasContent && formatted === null && <Raw body={body} />}
      {!hasContent && body.parts && <Parts parts={body.parts} />}
      {body.truncated && loadWholeBody && <Download body={body} load={loadWholeBody} />}
      {body.kind !== 'empty' && (
        <p className={styles.hash}>
          SHA-256 of the {body.truncated ? 'whole body' : 'body'}: {body.sha256}
        </p>
      )}
    </div>
  )
}
