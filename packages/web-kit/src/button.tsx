import { type ReactNode, type Ref, useRef } from 'react'
import styles from './button.module.css'
import { classNames } from './class-names.ts'

type Props = {
  kind?: 'plain' | 'quiet' | 'stop' | 'go'
  wide?: boolean
  /** Does nothing when pressed, yet keeps its place, its size and the keyboard focus. */
  inert?: boolean
  onPress: () => void
  children: ReactNode
  expanded?: boolean
  describedBy?: string
  buttonRef?: Ref<HTMLButtonElement>
}

/**
 * A button. Being inert is `aria-disabled`, not `disabled`: a focused button that becomes inert must not throw the focus away.
 * A press counts only when it began while the button was not inert, so neither a finger already down nor a key already held presses
 * what has just come alive. Assistive technology presses without pointer or key; such a press is judged when it arrives.
 */
export function Button({
  kind = 'plain',
  wide,
  inert = false,
  onPress,
  children,
  expanded,
  describedBy,
  buttonRef,
}: Props) {
  const beganInert = useRef(false)
  const begin = () => {
    beganInert.current = inert
  }
  return (
    <button
      ref={buttonRef}
      type="button"
      className={classNames(styles.button, styles[kind], wide && styles.wide)}
      aria-disabled={inert || undefined}
      aria-expanded={expanded}
      aria-describedby={describedBy}
      onPointerDown={begin}
      onKeyDown={(event) => {
        if (event.repeat) event.preventDefault()
        else begin()
      }}
      onClick={() => {
        const counts = !inert && !beganInert.current
        beganInert.current = false
        if (counts) onPress()
      }}
    >
      {children}
    </button>
  )
}
