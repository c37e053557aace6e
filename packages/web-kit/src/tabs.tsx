import type { ReactNode } from 'react'
import { Tabs as AriaTabs, Tab, TabList, TabPanel } from 'react-aria-components/Tabs'
import { classNames } from './class-names.ts'
import styles from './tabs.module.css'

type Props = { label: string; tabs: readonly { id: string; name: string; content: ReactNode }[] }

/** Views of one thing, one at a time; arrow keys move between them. */
export function Tabs({ label, tabs }: Props) {
  return (
    <AriaTabs>
      <TabList aria-label={label} className={classNames(styles.list)}>
        {tabs.map(({ id, name }) => (
          <Tab key={id} id={id} className={classNames(styles.tab)}>
            {name}
          </Tab>
        ))}
      </TabList>
      {tabs.map(({ id, content }) => (
        <TabPanel key={id} id={id} className={classNames(styles.panel)}>
          {content}
        </TabPanel>
      ))}
    </AriaTabs>
  )
}
