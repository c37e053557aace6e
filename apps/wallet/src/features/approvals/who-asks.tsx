import type { OpenApprovalPage } from '@alter-vault/contracts'
import { Fact, Facts } from '@alter-vault/web-kit/facts.tsx'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { Section } from './section.tsx'
import styles from './small-print.module.css'

const text = (value: string | null) => (value === null ? null : <UntrustedText text={value} />)

/** Who asks, and for whom. */
export function WhoAsks({ requester }: Pick<OpenApprovalPage, 'requester'>) {
  const { app, agent, caller, user, parent_agent, run_id, thread_id } = requester
  return (
    <Section title="Who asks">
      <Facts>
        {agent && (
          <Fact name="Agent">
            <strong>
              <UntrustedText text={agent.name} />
            </strong>{' '}
            <span className={styles.quiet}>
              <UntrustedText text={agent.type} />
            </span>
            <span className={styles.id}>{agent.id}</span>
          </Fact>
        )}
        <Fact name="App">
          <UntrustedText text={app.name} />
        </Fact>
        <Fact name="For">
          {user && (
            <>
              <UntrustedText text={user.name ?? user.email ?? 'a person without a name'} />
              {user.name && user.email && (
                <>
                  {' '}
                  <span className={styles.quiet}>
                    <UntrustedText text={user.email} />
                  </span>
                </>
              )}
            </>
          )}
        </Fact>
        <Fact name="Caller (says itself)">{text(caller)}</Fact>
        <Fact name="Parent agent">{text(parent_agent)}</Fact>
        <Fact name="Run">{text(run_id)}</Fact>
        <Fact name="Thread">{text(thread_id)}</Fact>
      </Facts>
    </Section>
  )
}
