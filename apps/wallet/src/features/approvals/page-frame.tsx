import type { ApprovalPage } from '@alter-vault/contracts'
import { classNames } from '@alter-vault/web-kit/class-names.ts'
import { readableOn } from '@alter-vault/web-kit/contrast.ts'
import { Icon } from '@alter-vault/web-kit/icon.tsx'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { type CSSProperties, type ReactNode, type RefObject, useEffect, useRef, useState } from 'react'
import styles from './page-frame.module.css'

type Branding = ApprovalPage['branding']

/* Set by script through the style object, which the content security policy allows; never as an attribute of the markup. */
function brandColors({ primary_color, background_color }: Branding): CSSProperties {
  return {
    ...(primary_color && { '--accent': primary_color, '--on-accent': readableOn(primary_color) }),
    ...(background_color && { '--brand-ground': background_color, '--brand-ink': readableOn(background_color) }),
  } as CSSProperties
}

/** What stays at the lower edge may take so much of the window's height. */
const MOST_OF_WINDOW = 0.45

function useIsTall(element: RefObject<HTMLElement | null>): boolean {
  const [isTall, setIsTall] = useState(false)
  useEffect(() => {
    const { current } = element
    if (current === null) return
    const changes = new ResizeObserver(() => setIsTall(current.offsetHeight > window.innerHeight * MOST_OF_WINDOW))
    changes.observe(current)
    changes.observe(document.documentElement)
    return () => changes.disconnect()
  }, [element])
  return isTall
}

type Props = { branding: Branding | null; children: ReactNode; below?: ReactNode }

/**
 * The frame around every state of the page. Branding dresses the header only; the vault's name and the true origin are always there.
 */
export function PageFrame({ branding, children, below }: Props) {
  const name = branding?.display_name ?? 'Alter Vault'
  const bar = useRef<HTMLDivElement>(null)
  const isTall = useIsTall(bar)
  return (
    <div className={styles.page}>
      <header className={styles.header} style={branding ? brandColors(branding) : undefined}>
        <div className={classNames(styles.column, styles.brand)}>
          <span className={styles.monogram} aria-hidden="true">
            {branding ? [...name][0]?.toUpperCase() : <Icon name="lock" />}
          </span>
          <UntrustedText text={name} />
        </div>
      </header>
      <main className={classNames(styles.column, styles.main)}>{children}</main>
      <div className={classNames(styles.below, !isTall && styles.stays)} ref={bar}>
        {below}
      </div>
      <footer className={styles.footer}>
        <div className={styles.column}>
          <span className={styles.secured}>
            <Icon name="lock" size={16} />
            Secured by Alter Vault
          </span>
          <span>{window.location.host}</span>
        </div>
      </footer>
    </div>
  )
}
