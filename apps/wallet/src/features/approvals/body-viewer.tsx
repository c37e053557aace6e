import type { BodyView } from '@alter-vault/contracts'
import { Button } from '@alter-vault/web-kit/button.tsx'
import { Notice } from '@alter-vault/web-kit/notice.tsx'
import { sizeWords } from '@alter-vault/web-kit/quantity-words.ts'
import { Tabs } from '@alter-vault/web-kit/tabs.tsx'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { type ReactNode, useMemo, useState } from 'react'
import { doubtWords } from './body-doubts.ts'
import styles from './body-viewer.module.css'
import { Download, type LoadWholeBody } from './download-body.tsx'
import { formPairs } from './form-pairs.ts'
import { JsonBody } from './json-body.tsx'
import { outlineJson } from './json-outline.ts'
import { PairTable } from './pair-table.tsx'
import { bytesOf, escapeBytes } from './raw-bytes.ts'
import { endAfter, linesAfter } from './text-parts.ts'

const KIND_WORDS: Record<BodyView['kind'], string> = {
  json: 'JSON',
  form: 'Form',
  text: 'Text',
  binary: 'Binary',
  empty: 'None',
  hidden: 'Hidden by the rule',
}

/** A long thing in steps, so that drawing it keeps nobody waiting. */
type Steps = { steps: number; more: () => void }

function ShowMore({ left, unit, steps }: { left: number; unit: string; steps: Steps }) {
  return (
    <p>
      <Button onPress={steps.more}>
        Show more ({left.toLocaleString('en')} {unit} are not shown)
      </Button>
    </p>
  )
}

function Plain({ label, text, steps }: { label: string; text: string; steps: Steps }) {
  const end = endAfter(text, steps.steps)
  return (
    <>
      <section className={styles.code} aria-label={label}>
        <UntrustedText text={text.slice(0, end)} multiline />
      </section>
      {end < text.length && <ShowMore left={text.length - end} unit="more characters" steps={steps} />}
    </>
  )
}

/** What stands in the body behind the part that is left out. */
function LastPart({ body }: { body: BodyView }) {
  if (body.tail === null) return null
  const text = body.encoding === 'base64' ? escapeBytes(bytesOf(body.tail)) : body.tail
  return (
    <>
      <p className={styles.gap}>{sizeWords(body.omitted_bytes)} between these two parts are not shown.</p>
      <section className={styles.code} aria-label="Last part of the body">
        <UntrustedText text={text} multiline />
      </section>
    </>
  )
}

function Listed({ body }: { body: BodyView }) {
  if (body.omitted_bytes === 0 || body.values.length === 0) return null
  const pairs = body.values.map(({ name, value, cut }) => ({ name, value: cut ? `${value} …` : value }))
  const left = body.values_total - pairs.length
  return (
    <>
      <PairTable caption="All members" pairs={pairs} />
      {left > 0 && <p className={styles.name}>{left.toLocaleString('en')} more members are not listed.</p>}
    </>
  )
}

type Props = {
  body: BodyView
  /** Null: the body of an answer, which is not decided on. */
  loadWholeBody: LoadWholeBody | null
  /** Stands behind the last line, once there is nothing more to show. */
  end?: ReactNode
}

/** The body as it will be sent: formatted where its kind allows, and always raw with nothing invisible. */
export function BodyViewer({ body, loadWholeBody, end = null }: Props) {
  const [count, setCount] = useState(0)
  const steps: Steps = { steps: count, more: () => setCount((before) => before + 1) }
  const content = body.content ?? ''
  const raw = useMemo(
    () => (body.encoding === 'base64' ? escapeBytes(bytesOf(content)) : content),
    [body.encoding, content],
  )
  const outline = useMemo(
    () => (body.kind === 'json' ? outlineJson(content, { cut: body.omitted_bytes > 0 }) : undefined),
    [body.kind, content, body.omitted_bytes],
  )
  const doubt = loadWholeBody === null ? null : doubtWords(body)
  const repeated = outline?.repeatedKeys ?? []
  const shownLines = linesAfter(count)
  const isAllShown =
    body.kind === 'form' || (outline ? outline.lines.length <= shownLines : endAfter(raw, count) === raw.length)

  const plain = <Plain label="Raw body" text={raw} steps={steps} />
  const formatted = outline ? (
    <>
      <JsonBody outline={outline} lines={shownLines} />
      {outline.lines.length > shownLines && (
        <ShowMore left={outline.lines.length - shownLines} unit="more lines" steps={steps} />
      )}
    </>
  ) : body.kind === 'form' ? (
    <PairTable caption="Field" pairs={formPairs(content)} />
  ) : null

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
      {doubt && (
        <Notice tone={doubt.tone} icon={doubt.tone === 'info' ? 'info' : 'warning'} title={doubt.title}>
          <p>
            {doubt.sentence}
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
      <Listed body={body} />
      {content !== '' &&
        (formatted === null ? (
          plain
        ) : (
          <Tabs
            label="How to show the body"
            tabs={[
              { id: 'formatted', name: 'Formatted', content: formatted },
              { id: 'raw', name: 'Raw', content: plain },
            ]}
          />
        ))}
      <LastPart body={body} />
      {isAllShown && end}
      {body.omitted_bytes > 0 && loadWholeBody && <Download body={body} load={loadWholeBody} />}
      {body.kind !== 'empty' && (
        <p className={styles.hash}>
          SHA-256 of the {body.omitted_bytes > 0 ? 'whole body' : 'body'}: {body.sha256}
        </p>
      )}
    </div>
  )
}
