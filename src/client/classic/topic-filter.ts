import { topicExpression, topicPattern } from '../../base/topic-pattern.ts'
import { IllegalArgumentException } from '../errors.ts'
import type { TopicFilter } from './types.ts'

const INTERNAL_TOPICS: ReadonlySet<string> = new Set(['__consumer_offsets', '__transaction_state'])

/** Topics that match one of the expressions (commas between them). */
export function whitelist(expressions: string): TopicFilter {
  return topicFilter('white_list', expressions)
}

/** All topics but those that match. */
export function blacklist(expressions: string): TopicFilter {
  return topicFilter('black_list', expressions)
}

/** Throws IllegalArgumentException for what is no regular expression. */
export function topicFilter(kind: TopicFilter['kind'], expressions: string): TopicFilter {
  const regex = topicExpression(expressions)
  let pattern: RegExp
  try {
    pattern = topicPattern(regex)
  } catch {
    throw new IllegalArgumentException(`${regex} is an invalid regex.`)
  }
  return {
    kind,
    regex,
    allows: (topic, excludeInternalTopics) =>
      pattern.test(topic) === (kind === 'white_list') && !(excludeInternalTopics && INTERNAL_TOPICS.has(topic)),
  }
}
