// The page that the upload page in WeChat opens, with the link's token.
Page({
  data: { token: "" },

  /** @param {Record<string, string | undefined>} options */
  onLoad(options) {
    this.setData({ token: decodeURIComponent(options.token || "") });
  },
});
