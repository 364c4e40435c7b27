// What JavaScript does by itself in select, streams and topics.

const title = (ava, only) => ({ ava, only })

export const messaging = [
  {
    name: 'select-first-in-the-list',
    file: 'lib/select/select.ts',
    text: 'if (chosen !== undefined && entry.known.toldAt >= chosen.known.toldAt) continue',
    instead: 'if (chosen !== undefined) continue',
    breaks: 'one that always has something is told of alone',
    test: title(
      'select/select',
      'one that is flooded keeps no other waiting, whatever lists they are in',
    ),
  },
  {
    name: 'streams-finish-unread',
    file: 'lib/streams/sending.ts',
    text: 'this.#settle(this.#producer.end(this.#wait), callback)',
    instead: 'this.#settle(Promise.resolve(this.#wait).then(() => undefined), callback)',
    breaks: 'a stream finishes while what it has sent can still be lost',
    test: title(
      'streams/duplex',
      'it finishes when everything is read, not when everything is sent',
    ),
  },
  {
    name: 'streams-failure-untold',
    file: 'lib/streams/filling.ts',
    text: 'if (error !== null && !isCancel(error) && this.#isHeard())',
    instead: 'if (error !== null && !isCancel(error) && !this.#isHeard())',
    breaks: 'the sender takes the failure of a receiver for its orderly end',
    test: title('streams/pipelines'),
  },
  {
    name: 'streams-asked-for-unheard',
    file: 'lib/streams/filling.ts',
    text: 'if (!stream.push(chunk) && !this.#wasAsked) break',
    instead: 'if (!stream.push(chunk) && this.#wasAsked) break',
    breaks: 'a stream that is full is filled on, and one that has asked meanwhile is not',
    test: title('streams/readable'),
  },
  {
    name: 'topics-payload-gone',
    file: 'lib/topics/publisher.ts',
    text: '      assertUnchanged(bytes, length)\n      return this.#publishNow',
    instead: '      void length\n      return this.#publishNow',
    breaks: 'a payload that has lost its memory while it waited is published empty',
    test: title('topics/misuse', 'a payload whose memory goes away while its publish waits*'),
  },
  {
    name: 'topics-pump-ahead',
    file: 'lib/topics/group.ts',
    text: '        const subject = source.subjectOf(facts[at + IntakeFact.subject]!)\n',
    instead:
      '        const subject = source.subjectOf(facts[at + IntakeFact.subject]!)\n        next = index + 1\n',
    breaks: 'a message for which the work queue has no room is lost for its group',
    test: title('topics/group', 'large messages, and more than the work queue has room for*'),
  },
]
