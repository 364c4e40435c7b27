// The same where code from strings is forbidden, and shared accessors do the work.

import '../support/without-eval.js'
import './records.test.js'
import './records-layouts.test.js'
import './records-model.test.js'
