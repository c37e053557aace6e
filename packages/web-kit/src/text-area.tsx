import type { Ref } from 'react'
import { TextArea as AriaTextArea, FieldError, Label, Text, TextField } from 'react-aria-components/TextField'
import { classNames } from './class-names.ts'
import styles from './text-area.module.css'

type Props = {
  label: string
  help: string
  value: string
  onChange: (value: string) => void
  maxLength: number
  error?: string | null
  inputRef?: Ref<HTMLTextAreaElement>
}

/** Several lines of the reader's own words. */
export function TextArea({ label, help, value, onChange, maxLength, error, inputRef }: Props) {
  return (
    <TextField
      className={classNames(styles.field)}
      value={value}
      onChange={onChange}
      maxLength={maxLength}
      isInvalid={Boolean(error)}
    >
      <Label className={classNames(styles.label)}>{label}</Label>
      <AriaTextArea className={classNames(styles.input)} {...(inputRef ? { ref: inputRef } : {})} />
      <Text slot="description" className={classNames(styles.help)}>
        {help}
      </Text>
      <FieldError className={classNames(styles.error)}>{error}</FieldError>
    </TextField>
  )
}
