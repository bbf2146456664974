import { ACL_CHANGES_PATH, ACL_PATH, ACL_RESOURCE_TYPES, aclTypePath } from './acl.ts'
import { BROKER_IDS_PATH } from './broker-id.ts'
import { CONFIG_CHANGES_PATH } from './config-changes.ts'
import { configTypePath } from './config-entity.ts'
import { CONSUMERS_PATH } from './consumers.ts'
import { TOKEN_CHANGES_PATH, TOKENS_PATH } from './delegation-token.ts'
import { DELETE_TOPICS_PATH } from './delete-topics.ts'
import { ISR_CHANGE_PATH } from './isr-change.ts'
import { LOG_DIR_EVENT_PATH } from './log-dir-event.ts'
import { PRODUCER_ID_BLOCK_PATH } from './producer-id-block.ts'
import { SEQID_PATH } from './seqid.ts'
import { TOPICS_PATH } from './topic.ts'

/**
 * What every broker of 1.1 creates at its start, in this order, with null data; existing ones are left alone.
 *
 * 0.8.0 made none. 0.8.1: `/consumers /brokers/ids /brokers/topics /config/changes /config/topics /admin/delete_topics`; 0.9 added
 * `/config/clients /brokers/seqid /isr_change_notification`, 0.11 `/latest_producer_id_block`, 1.0 `/log_dir_event_notification`,
 * 1.1 `/config/users /config/brokers`.
 */
export const PERSISTENT_PATHS: readonly string[] = [
  CONSUMERS_PATH,
  BROKER_IDS_PATH,
  TOPICS_PATH,
  CONFIG_CHANGES_PATH,
  DELETE_TOPICS_PATH,
  SEQID_PATH,
  ISR_CHANGE_PATH,
  PRODUCER_ID_BLOCK_PATH,
  LOG_DIR_EVENT_PATH,
  configTypePath('topics'),
  configTypePath('clients'),
  configTypePath('users'),
  configTypePath('brokers'),
]

/** With an authorizer also these. */
export const ACL_PERSISTENT_PATHS: readonly string[] = [ACL_PATH, ACL_CHANGES_PATH, ...ACL_RESOURCE_TYPES.map(aclTypePath)]

/** With `delegation.token.master.key` also these. */
export const TOKEN_PERSISTENT_PATHS: readonly string[] = [TOKEN_CHANGES_PATH, TOKENS_PATH]

/** Nodes below these are not readable by the world when `zookeeper.set.acl` is on; compared as string prefixes, as 1.1 does. */
export const SENSITIVE_PREFIXES: readonly string[] = [configTypePath('users'), configTypePath('brokers'), TOKENS_PATH]
