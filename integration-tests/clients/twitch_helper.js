// Stands for https://extension-files.twitch.tv/helper/v1/twitch-ext.min.js, which tests cannot reach: the part of
// window.Twitch.ext that the extension uses. `window.testTwitch` says what it answers:
//   token, channelId      for onAuthorized
//   userId                of a viewer who has shared who they are
//   server                what the streamer has named in the configuration
//   products              for bits.getProducts
//   receipt(sku)          the receipt of a payment, or null for one that the viewer closes
(() => {
  const told = window.testTwitch;
  const heard = { complete: [], cancelled: [] };
  window.Twitch = {
    ext: {
      onAuthorized: (tell) => setTimeout(() => tell({ token: told.token, channelId: told.channelId, clientId: 'test', userId: 'U1' })),
      onContext: (tell) => setTimeout(() => tell({ theme: told.theme })),
      configuration: { broadcaster: { content: JSON.stringify({ server: told.server }) }, onChanged: () => {}, set: () => {} },
      viewer: { id: told.userId ?? null, onChanged: () => {} },
      actions: { requestIdShare: () => {} },
      bits: {
        getProducts: async () => told.products,
        useBits: async (sku) => {
          const receipt = await told.receipt(sku);
          if (receipt === null) return heard.cancelled.forEach((tell) => tell());
          const transaction = { transactionId: 'test', transactionReceipt: receipt, product: { sku } };
          // Every viewer of the channel hears of a transaction; only its own is to be submitted.
          for (const initiator of ['other', 'current_user']) heard.complete.forEach((tell) => tell({ ...transaction, initiator }));
        },
        onTransactionComplete: (tell) => heard.complete.push(tell),
        onTransactionCancelled: (tell) => heard.cancelled.push(tell),
      },
    },
  };
})();
