/**
 * `/admin/delete_topics/<topic>`, persistent, since 0.8.1: the topic is to be deleted. Being there is the whole message; 0.8.1 - 1.0 wrote
 * empty data, 1.1 null.
 */
export const DELETE_TOPICS_PATH = '/admin/delete_topics'

export function deleteTopicPath(topic: string): string {
  return `${DELETE_TOPICS_PATH}/${topic}`
}
