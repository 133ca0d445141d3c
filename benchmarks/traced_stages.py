# SPDX-License-Identifier: Apache-2.0
"""What does an operation pass between the API and the hardware?"""

#: In the order in which an operation passes them.
STAGES = ('API: request arrived', 'API: transaction begins',
          'API: transaction committed', 'API: cast begins',
          'conductor: cast arrived', 'conductor: acquire begins',
          'conductor: acquired', 'conductor: step begins',
          'conductor: its intent committed', 'conductor: HTTP begins')
