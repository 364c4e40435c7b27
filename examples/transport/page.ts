// What the browser gets. It has no library: a message of the channel is a message of the WebSocket.

/** The page, which connects to `address`. */
export const pageFor = (address: string) => `<!doctype html>
<meta charset="utf-8" />
<title>thermometer</title>
<style>
  body { font: 1.2em system-ui, sans-serif; margin: 2em; }
  #degrees { font-size: 3em; }
  meter { width: 20em; height: 2em; }
</style>
<p id="degrees">–</p>
<p><meter min="10" max="30"></meter></p>
<p><button value="faster">faster</button> <button value="slower">slower</button></p>
<p id="state">connecting</p>
<script>
  const show = (id, text) => (document.getElementById(id).textContent = text)
  const socket = new WebSocket('${address}')
  socket.binaryType = 'arraybuffer'
  const utf8 = new TextDecoder()
  let seen = 0
  socket.onmessage = ({ data }) => {
    const { number, degrees, every } = JSON.parse(utf8.decode(data))
    show('degrees', degrees.toFixed(1) + ' °C')
    document.querySelector('meter').value = degrees
    show('state', 'reading ' + number + ', one every ' + every + ' ms; seen: ' + ++seen)
  }
  socket.onclose = ({ code }) => show('state', 'closed, code ' + code)
  for (const button of document.querySelectorAll('button')) {
    button.onclick = () => socket.send(button.value)
  }
</script>
`
