import type { GateView, OpenApprovalPage } from '@alter-vault/contracts'
import { Badge } from '@alter-vault/web-kit/badge.tsx'
import { Fact, Facts } from '@alter-vault/web-kit/facts.tsx'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { Ago, Until } from './moment.tsx'
import { quorumWords, sourceWords } from './request-words.ts'
import { Section } from './section.tsx'
import styles from './small-print.module.css'

type Page = Pick<OpenApprovalPage, 'credential' | 'held_by' | 'gates' | 'history' | 'created_at' | 'expires_at'>

const GATE_STATUS = {
  pending: { tone: 'wait', icon: 'clock', word: 'Waiting' },
  approved: { tone: 'go', icon: 'check', word: 'Approved' },
  denied: { tone: 'stop', icon: 'cross', word: 'Denied' },
  expired: { tone: 'stop', icon: 'clock', word: 'Expired' },
} as const

const STATUS_WORDS: Record<OpenApprovalPage['status'], string> = {
  pending: 'Waiting',
  approved: 'Approved',
  denied: 'Denied',
  expired: 'Expired',
  executing: 'Being sent',
  executed: 'Approved and sent',
  failed: 'Approved, failed',
}

function Names({ names }: { names: readonly string[] }) {
  return (
    <ul>
      {names.map((name) => (
        <li key={name}>
          <UntrustedText text={name} />
        </li>
      ))}
    </ul>
  )
}

function Gate({ gate, now }: { gate: GateView; now: number }) {
  const { tone, icon, word } = GATE_STATUS[gate.status]
  return (
    <li className={styles.row}>
      <div>
        <p>{gate.is_this ? 'This decision' : 'Another approval that is needed'}</p>
        <p className={styles.quiet}>{quorumWords(gate)}</p>
        {gate.approvers.length > 0 && (
          <p>
            May decide:{' '}
            {gate.approvers.map((name, index) => (
              <span key={name}>
                {index > 0 && ', '}
                <UntrustedText text={name} />
              </span>
            ))}
          </p>
        )}
        {gate.decisions.map((made) => (
          <p key={made.decided_at + made.by.name}>
            {made.by.is_you && made.by.kind !== 'link' ? (
              'You'
            ) : (
              <UntrustedText text={made.by.name ?? 'Someone with this link'} />
            )}{' '}
            {made.decision === 'approve' ? 'approved' : 'denied'} <Ago at={made.decided_at} now={now} />
          </p>
        ))}
      </div>
      <div>
        <Badge tone={tone} icon={icon}>
          {word}
        </Badge>
      </div>
    </li>
  )
}

/** With what it would be sent, which rule stopped it, who decides, until when, and what happened to requests like it. */
export function WhyHeld({ page, now }: { page: Page; now: number }) {
  const { credential, held_by, gates, history } = page
  return (
    <>
      <Section title="With what">
        <Facts>
          <Fact name={credential.kind === 'oauth' ? 'Provider' : 'Managed secret'}>
            <UntrustedText text={credential.name} />
          </Fact>
          <Fact name="Account">{credential.account && <UntrustedText text={credential.account} />}</Fact>
          <Fact name="Access">
            {credential.grant_label && <UntrustedText text={credential.grant_label} />}
            <span className={styles.id}>{credential.grant_id}</span>
          </Fact>
          <Fact name="Scopes">{credential.scopes.length > 0 && <Names names={credential.scopes} />}</Fact>
        </Facts>
      </Section>
      <Section title="Why it waits">
        <Facts>
          {held_by.map((rule) => (
            <Fact key={rule.rule_id ?? rule.name} name="Rule">
              <UntrustedText text={rule.name} /> <span className={styles.quiet}>({sourceWords(rule.source)})</span>
            </Fact>
          ))}
          <Fact name="Asked">
            <Ago at={page.created_at} now={now} />
          </Fact>
          <Fact name="Decide until">
            <Until at={page.expires_at} now={now} />
            <span className={styles.quiet}>. After that the request expires and nothing is sent.</span>
          </Fact>
        </Facts>
        <p className={styles.quiet}>Opening this page decided nothing.</p>
        <ul className={styles.list} aria-label="Approvals">
          {gates.map((gate) => (
            <Gate key={gate.gate_id} gate={gate} now={now} />
          ))}
        </ul>
      </Section>
      <Section title="Similar requests before">
        {history.length === 0 ? (
          <p className={styles.quiet}>This is the first one.</p>
        ) : (
          <ul className={styles.list}>
            {history.map((earlier) => (
              <li key={earlier.approval_id} className={styles.row}>
                <div>
                  <code>
                    <UntrustedText text={earlier.action} />
                  </code>
                  <p className={styles.quiet}>
                    <Ago at={earlier.created_at} now={now} />
                    {earlier.decided_by && (
                      <>
                        , decided by <UntrustedText text={earlier.decided_by} />
                      </>
                    )}
                  </p>
                </div>
                <p>{STATUS_WORDS[earlier.status]}</p>
              </li>
            ))}
          </ul>
        )}
      </Section>
    </>
  )
}
